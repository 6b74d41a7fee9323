# One image, two commands: bcp-operator and bcp-sync. The build needs no network: wheels/ in the build context holds
# the project's wheel and all it depends on (`make image` puts them there).
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS install
COPY wheels/ /wheels/
RUN python3 -m venv /opt/bcp \
 && /opt/bcp/bin/pip install --no-index --find-links /wheels --no-cache-dir --disable-pip-version-check --compile "bcp-operator[operator,sync]" \
 && /opt/bcp/bin/python -m pip uninstall --quiet --yes setuptools pip

FROM ${BASE}
COPY --from=install /opt/bcp /opt/bcp
# Nothing is written beside the code (its bytecode is in the image); HOME is the one place that is writable.
ENV PATH=/opt/bcp/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 65532:65532
CMD ["bcp-operator", "--help"]

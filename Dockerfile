# One image, two commands: bcp-operator and bcp-sync. The build needs no network: wheels/ in the build context holds
# all that the project depends on, wheels/project/ its own wheel (`make wheels` puts them there).
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS venv
RUN python3 -m venv /opt/bcp

FROM venv AS dependencies
COPY wheels/*.whl /wheels/
RUN /opt/bcp/bin/pip install --no-index --no-deps --no-cache-dir --disable-pip-version-check --compile /wheels/*.whl \
 && echo /opt/bcp-operator > "$(/opt/bcp/bin/python -c 'import site; print(site.getsitepackages()[0])')/bcp-operator.pth" \
 && /opt/bcp/bin/python -m pip uninstall --quiet --yes setuptools pip

FROM venv AS project
COPY wheels/project/ /wheels/
RUN /opt/bcp/bin/pip install --no-index --no-deps --no-cache-dir --disable-pip-version-check --compile --target /opt/bcp-operator /wheels/*.whl

FROM ${BASE}
# The dependencies in a layer of their own: a change of the code makes, sends and pulls the last one only.
COPY --from=dependencies /opt/bcp /opt/bcp
COPY --from=project /opt/bcp-operator /opt/bcp-operator
# Nothing is written beside the code (its bytecode is in the image); HOME is the one place that is writable.
ENV PATH=/opt/bcp-operator/bin:/opt/bcp/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 65532:65532
CMD ["bcp-operator", "--help"]

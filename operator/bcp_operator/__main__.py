"""`bcp-operator` and `python -m bcp_operator`."""

import asyncio
import logging
import sys

from bcp_operator.controllers.config import ConfigError, parse
from bcp_operator.controllers.logs import configure
from bcp_operator.controllers.main import run
from bcp_operator.kube.errors import KubeError


def main() -> None:
    """Run the operator. Exit codes: 0 stopped, 1 ended by itself (restart it), 2 can't start like this."""
    try:
        config = parse(sys.argv[1:])
    except ConfigError as error:
        print(f"bcp-operator: {error}", file=sys.stderr)
        sys.exit(2)
    configure(config.log_format, config.log_level)
    try:
        sys.exit(asyncio.run(run(config)))
    except (ConfigError, KubeError) as error:
        logging.getLogger("bcp_operator").error("cannot start: %s", error)
        sys.exit(2)
    except OSError as error:
        logging.getLogger("bcp_operator").error("cannot start: port %d: %s", config.health_port, error.strerror)
        sys.exit(2)


if __name__ == "__main__":
    main()

"""Run a supervisor with the settings on the command line, as JSON."""

import json
import sys

from sisyphus.logs import configure
from sisyphus.settings import Settings
from sisyphus.worker.supervisor import Supervisor

if __name__ == "__main__":
    settings = Settings.load(**json.loads(sys.argv[1]))
    configure("DEBUG", json_lines=False)
    raise SystemExit(Supervisor(settings).run())

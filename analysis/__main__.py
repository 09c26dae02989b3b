"""`python -m litelvlm.analysis`: the command line; a study's name means `study NAME`."""

import sys

from litelvlm.analysis.cli import main
from litelvlm.analysis.studies import STUDIES

arguments = sys.argv[1:]
sys.exit(
    main(["study", *arguments] if arguments and arguments[0] in (*STUDIES, "all") else arguments)
)

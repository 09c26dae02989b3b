"""`python -m litelvlm.analysis`: the same command line; a study's name alone is short for `study NAME`."""

import sys

from litelvlm.analysis.cli import main
from litelvlm.analysis.studies import STUDIES

arguments = sys.argv[1:]
sys.exit(
    main(["study", *arguments] if arguments and arguments[0] in (*STUDIES, "all") else arguments)
)

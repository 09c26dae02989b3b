"""What an unfinished run lacks, and how to go on."""

from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.runs.record import RunRecord


def unfinished_text(record: RunRecord, what: str = "parts") -> str:
    """The parts that are there, and the shares that still have to be computed.

    Args:
        record: Of a run that lacks parts.
        what: Which parts, where the text does not say it.
    """
    there = f"{what} are missing, {record.parts_done} of {record.n_parts} are there"
    begun = {Shard.parse(session.shard) for session in (record, *record.sessions)}
    count = max(shard.count for shard in begun)
    if count == 1:
        return f"{there}; run the same command again to continue"
    # A run of few parts has nothing for the last shares.
    every = [Shard(index, count) for index in range(1, min(count, record.n_parts) + 1)]
    left = [str(shard) for shard in every if shard not in begun]
    if not left:
        return (
            f"{there}, and every share was begun; when none computes any more, run the same "
            "command without --shard"
        )
    return (
        f"{there}; the rest belongs to --shard {', '.join(left)}, here or on a machine that sees "
        "this folder, and the last one to finish writes the summary"
    )

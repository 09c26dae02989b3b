"""The columns of the study's rows: one row per question and condition."""

from litelvlm.analysis.runs.columns import Column

COLUMNS = (
    Column("task", str, "Name of the task."),
    Column("question_id", str, "Question."),
    Column("image_id", str, "Image; questions about the same image share it."),
    Column("group", str, "What scores are split by, such as POPE's setting; may be empty."),
    Column("base", str, "Question of which this reorders the options; empty where there is none."),
    Column("truth", str, "The accepted answer, of several the first."),
    Column("method", str, "Label of the method; 'none' keeps all tokens."),
    Column("budget", float, "Visual tokens to keep, or their share; empty for all."),
    Column("draw", int, "Number of the draw of a random method, from 0."),
    Column("answer", str, "What the model answered; empty if it failed."),
    Column("visual_tokens", float, "Visual tokens that a layer read, on average."),
    Column("read", str, "The answer as the task's rule reads it."),
    Column("score", float, "Score by the task's rule, 0 to 1."),
    Column("state", str, "'read', 'empty', 'unreadable', or 'failed'."),
    Column("failure", str, "Why there is no answer; empty if there is one."),
)

"""How the visual tokens of an image or a clip lie: frames, rows and columns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Frames x rows x columns of visual tokens, in the order they are read.

    An image is a clip of one frame.

    Attributes:
        frames: Frames of tokens; 1 for an image.
        rows: Of a frame.
        columns: Of a frame.

    Raises:
        ValueError: If one of them is below 1.

    Example:
        >>> clip = Layout(frames=3, rows=4, columns=5)
        >>> clip.n_tokens, clip.grid, clip.per_frame
        (60, (4, 5), 20)
    """

    frames: int
    rows: int
    columns: int

    def __post_init__(self) -> None:
        if min(self.frames, self.rows, self.columns) < 1:
            raise ValueError(
                f"{self} has no tokens; give frames (1 for an image), rows and columns, each at "
                "least 1"
            )

    def __str__(self) -> str:
        """In words: "the 4 x 5 grid of 3 frames"."""
        of_frames = f" of {self.frames} frames" if self.frames != 1 else ""
        return f"the {self.rows} x {self.columns} grid{of_frames}"

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of each frame."""
        return self.rows, self.columns

    @property
    def per_frame(self) -> int:
        """Tokens of a frame."""
        return self.rows * self.columns

    @property
    def n_tokens(self) -> int:
        """Tokens before pruning."""
        return self.frames * self.per_frame

    @property
    def plane(self) -> tuple[int, int]:
        """(rows, columns) of the only frame, for what lays all tokens out in one plane.

        Raises:
            ValueError: If there are more frames.
        """
        if self.frames > 1:
            raise ValueError(
                f"{self} is no single plane of tokens, which this needs; give images, or one frame "
                "at a time"
            )
        return self.grid

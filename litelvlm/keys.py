"""Identities of images and frames: random methods draw the same tokens for equal ones."""


def frame_key(clip: int, frame: int, frames: int) -> int:
    """Identity of a frame, another one for every frame of a clip.

    Args:
        clip: Identity of the clip.
        frame: Place of the frame in it, from 0.
        frames: That the clip has; an image, which has one, keeps its own identity.

    Example:
        >>> [frame_key(5, frame, 3) for frame in range(3)], frame_key(5, 0, 1)
        ([15, 16, 17], 5)
    """
    return clip * frames + frame

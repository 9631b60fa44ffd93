"""Where SAM is asked to look: several prompters behind one protocol, each switchable and measurable alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labeling.exemplars import Exemplars
from labeling.prompts.grid import GridPrompter
from labeling.prompts.learning import TRAINING_STEPS
from labeling.prompts.prompt import Prompter, Prompts
from labeling.prompts.similar import SimilarPrompter
from models.errors import UsageError

__all__ = ["TRAINING_STEPS", "GridPrompter", "Prompter", "Prompts", "SimilarPrompter", "open_prompters"]


def open_prompters(
    names: Sequence[str],
    exemplars: Exemplars,
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[Prompter]:
    """Make prompters ready for the exemplars.

    Args:
        names: Any of "similar" and "grid", each at most once.
        exemplars: What to look for.
        seed: Of what is learnt.
        advance: Called with the number of steps done, `TRAINING_STEPS` in all for "similar".

    Returns:
        One prompter for each name.

    Raises:
        UsageError: A name is unknown or given twice, or there is none.
    """
    factories: dict[str, Callable[[], Prompter]] = {
        "similar": lambda: SimilarPrompter.fit(exemplars, seed=seed, advance=advance),
        "grid": GridPrompter,
    }
    if not names or len(set(names)) < len(names) or not set(names) <= factories.keys():
        raise UsageError(f"--prompts {','.join(names)}: expected some of {', '.join(factories)}, each once")
    return [factories[name]() for name in names]

"""Cards of a run: ``model_card.md``, ``claim.md``, ``methods.md`` and the flow of cases."""

from __future__ import annotations

from pathlib import Path

from voxloom.files import write_text
from voxloom.report.cards.author import write_author_form
from voxloom.report.cards.claim import claim_text
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.flow import flow_plot, flow_steps
from voxloom.report.cards.methods import methods_text
from voxloom.report.cards.model_card import model_card_text
from voxloom.report.cards.subject import Subject
from voxloom.report.style import save_figure

__all__ = ["RunFacts", "write_cards"]


def write_cards(folder: str | Path, subject: Subject) -> list[Path]:
    """Write the cards of a run folder, and ``author.yaml`` for the author's answers where there is none yet.

    Parameters
    ----------
    subject : what the run answers with.

    Raises
    ------
    BadInput : ``author.yaml`` has an unknown key or is not YAML.
    """
    root = Path(folder)
    write_author_form(root / "author.yaml")
    facts = RunFacts.of(root)
    texts = {
        "model_card.md": model_card_text(facts, subject),
        "claim.md": claim_text(facts, subject),
        "methods.md": f"# Methods and results\n\n{methods_text(facts, subject)}\n",
    }
    for name, text in texts.items():
        write_text(root / name, text)
    return [*(root / name for name in texts), *save_figure(flow_plot(flow_steps(facts)), root / "figures" / "flow")]

"""The page Training: the curves of a ``tradefl train`` document."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from tradefl import charts
from tradefl.consortium import Consortium
from tradefl.dashboard import settings, state
from tradefl.dashboard.parts import show_problems, show_section
from tradefl.documents.training import TrainingDocument
from tradefl.errors import InputError, Problem
from tradefl.report import frames, read_training
from tradefl.report.records import training_section

KEPT = "_training"


def page() -> None:
    """Draw the page."""
    st.title("Training")
    st.write(
        "Open a training document here: `tradefl train` writes one, and so does `tradefl run`."
    )
    given = st.file_uploader("A training document (JSON)", type="json")
    try:
        if given is not None:
            read_upload(given.getvalue(), given.name, state.original())  # or keep the one before
            st.session_state[KEPT] = given.getvalue(), given.name
        training = _training()
    except InputError as error:
        show_problems(error.lines(), "This document cannot be shown.")
        return
    if training is None:
        st.write("Nothing to show yet.")
        return
    rounds = frames.training_rounds(training.model_dump())
    curves = (
        charts.training_curves(rounds),
        f"Accuracy and loss after each of {training.rounds} rounds. The table has the numbers.",
    )
    show_section(training_section(training), {"training-curves": curves})


def _training() -> TrainingDocument | None:
    """Return what was uploaded last, or else the document of the command line, as it is now."""
    kept: tuple[bytes, str] | None = st.session_state.get(KEPT)
    if kept is not None:
        return read_upload(*kept, state.original())
    path = settings.current().training
    return None if path is None else read_training(path, state.original())


def read_upload(content: bytes, name: str, consortium: Consortium) -> TrainingDocument:
    """Return a training document that was uploaded.

    Raises
    ------
    InputError
        It is no such document, or of another consortium; the place begins with its name.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "training.json"
        path.write_bytes(content)
        try:
            return read_training(path, consortium)
        except InputError as error:
            raise InputError(
                Problem(problem.place.replace(str(path), name), problem.message)
                for problem in error.problems
            ) from None


if __name__ == "__main__":
    page()

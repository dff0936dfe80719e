"""training.stop_when: where a run ends before its last step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from dlnsweep.settings.base import Describe, Settings


def _static(text: str) -> Describe:
    return Describe("static", text, axis=False)


class StopWhen(Settings):
    """training.stop_when: end a run at a recorded step, by what an observable is there.

    A run ends at the first record whose value is below `below`; or at the first by which the
    observable has not improved for `patience` records (early stopping by test_loss, a plateau of
    the training loss), where a value improves on the best one b so far if it is less than
    b - threshold |b|. With both, whichever comes first.
    """

    observable: Annotated[str, _static("a recorded scalar observable")]
    below: Annotated[Annotated[float, Field(gt=0)] | None, _static("the value to fall below")] = (
        None
    )
    patience: Annotated[
        Annotated[int, Field(ge=1)] | None,
        _static("records in a row without an improvement, at the last of which a run ends"),
    ] = None
    threshold: Annotated[
        Annotated[float, Field(ge=0, lt=1)],
        _static("an improvement is one by more than this share of the best value"),
    ] = 0.0
    direction: Annotated[
        Literal["minimise", "maximise"],
        _static("whether smaller or larger values are better, for patience"),
    ] = "minimise"

    @model_serializer(mode="wrap")
    def _what_is_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Ids of runs hash this text: keys that came later are in it where they are used.
        fields = type(self).model_fields
        return {
            key: value
            for key, value in handler(self).items()
            if fields[key].is_required() or value != fields[key].default
        }

    def mistakes(self, where: str) -> Iterator[str]:
        """Yield, in sentences, what does not go together."""
        if self.below is None and self.patience is None:
            yield (
                f"{where} has neither below nor patience; give below = a value, or patience = the "
                "number of records without an improvement."
            )
        if self.patience is None:
            for key in ("threshold", "direction"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    yield f"{where}.{key} is given, which needs {where}.patience."

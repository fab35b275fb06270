"""Which data sets come with the service, and where they are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from core.data.made import Parameter, parameters


@dataclass(frozen=True, slots=True)
class BuiltinInfo:
    """One built-in set; `parameters` are what a made one takes in `data.parameters`, empty for a real one."""

    name: str
    title: str
    description: str
    licence: str
    source: str
    default_target: str = "label"
    default_split: str | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def is_made(self) -> bool:
        return bool(self.parameters)


_OWN = ("Apache-2.0", "drawn by Netmill")
_UCI = ("CC BY 4.0", "UCI Machine Learning Repository, by way of scikit-learn")


def _made(name: str, title: str, description: str, noise: float, **more: Parameter) -> BuiltinInfo:
    target = "y" if name == "sine" else "label"
    return BuiltinInfo(name, title, description, *_OWN, default_target=target, parameters=parameters(noise, **more))


def _classes(default: int) -> Parameter:
    return Parameter(default, 2, 10, "number of classes, an integer")


BUILTIN: Mapping[str, BuiltinInfo] = MappingProxyType(
    {
        info.name: info
        for info in (
            BuiltinInfo("digits", "Handwritten digits", "8 x 8 grey pixels, 0 to 16, of ten digits", *_UCI),
            BuiltinInfo("iris", "Iris flowers", "four lengths in cm of flowers of three species", *_UCI),
            BuiltinInfo("wine", "Italian wines", "13 chemical measurements of wines of three growers", *_UCI),
            BuiltinInfo(
                "breast_cancer",
                "Breast cancer (Wisconsin)",
                "30 measurements of cell nuclei, benign or malignant",
                *_UCI,
            ),
            BuiltinInfo(
                "diabetes",
                "Diabetes progression",
                "ten measurements of 442 patients in the units they were taken in; progression after a year",
                "BSD-3-Clause",
                "Efron, Hastie, Johnstone, Tibshirani (2004), by way of scikit-learn",
                default_target="target",
            ),
            BuiltinInfo(
                "higgs",
                "Higgs boson or background",
                "20,000 simulated collisions: 21 measured quantities and 7 masses derived from them; "
                "its own split of 14,000 for training and 6,000 for the test",
                "CC BY 4.0",
                "Baldi, Sadowski, Whiteson (2014), UCI HIGGS, by way of ROOT's TMVA tutorial",
                default_split="split",
            ),
            _made("moons", "Two moons", "two half circles that reach into each other", 0.2),
            _made("circles", "Two circles", "a circle inside another", 0.1),
            _made("spirals", "Spirals", "arms that wind around each other", 0.1, classes=_classes(2)),
            _made("xor", "Exclusive or", "a square whose class is the sign of x1 * x2", 0.05),
            _made("blobs", "Blobs", "clouds of points, one a class", 1.0, classes=_classes(3)),
            _made("sine", "Sine", "y = sin(x) with noise, x from -pi to pi", 0.1),
        )
    }
)

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
    return BuiltinInfo(name, title, description, *_OWN, parameters=parameters(noise, **more))


def _series(name: str, title: str, description: str, target: str, noise: float = 0.1, **more: Parameter) -> BuiltinInfo:
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
            BuiltinInfo(
                "jets",
                "Jet images",
                "30 x 30 cells of transverse momentum of 5,027 simulated jets: 1,722 of a top quark, 3,305 of quarks "
                "and gluons (QCD)",
                "MIT",
                "FNAL LPC Data Analysis School, machine-learning-das (2023), doi:10.5281/zenodo.3901869",
                default_target="y",
            ),
            BuiltinInfo(
                "shuttle",
                "Shuttle anomalies",
                "49,097 states of a space shuttle's radiators in nine readings; 7.2 % are anomalies (1)",
                "BSD-2-Clause",
                "UCI Statlog (Shuttle) as prepared by ODDS, by way of ADBench (2022)",
                default_target="anomaly",
            ),
            _made("moons", "Two moons", "two half circles that reach into each other", 0.2),
            _made("circles", "Two circles", "a circle inside another", 0.1),
            _made("spirals", "Spirals", "arms that wind around each other", 0.1, classes=_classes(2)),
            _made("xor", "Exclusive or", "a square whose class is the sign of x1 * x2", 0.05),
            _made("blobs", "Blobs", "clouds of points, one a class", 1.0, classes=_classes(3)),
            _series("sine", "Sine", "y = sin(x) with noise, x from -pi to pi", "y"),
            _series("abs", "Absolute value", "y = |x| with noise, x from -1 to 1", "y"),
            _series("step", "Step", "y = 0 below x = 0 and 1 above, with noise, x from -1 to 1", "y"),
            _series(
                "waves",
                "Waveforms",
                "sequences (T, 1) of two to four periods of a sine, square, sawtooth or triangle wave with noise",
                "y",
                noise=0.3,
                rows=Parameter(1000, 10, 20_000, "rows, an integer"),
                length=Parameter(64, 8, 256, "points of each sequence, an integer"),
                classes=Parameter(3, 2, 4, "number of waveforms, an integer"),
            ),
            _series(
                "seasonal",
                "Seasons and a trend",
                "an hourly value with a trend, a season of a day, one of a week, and noise",
                "value",
                noise=0.3,
                rows=Parameter(2000, 10, 1_000_000, "rows, an integer"),
            ),
            BuiltinInfo(
                "anscombe",
                "Anscombe's quartet",
                "11 pairs (x, y); all four sets have the same means, variances and regression line",
                "public domain",
                "F. J. Anscombe (1973), Graphs in Statistical Analysis, The American Statistician 27, 17-21",
                default_target="y",
                parameters={"number": Parameter(1, 1, 4, "which of the four sets, an integer")},
            ),
        )
    }
)

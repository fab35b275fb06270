"""The gallery of activations against float64 NumPy: values by the formula, derivatives by the formula's own."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from core.engine.lab import experiment
from core.errors import Invalid
from core.spec.activations import ActivationName


def gallery(*entries: Any, **fields: Any) -> dict[str, Any]:
    return experiment("activations", {"activations": list(entries), **fields}, None)


def test_the_sigmoids_derivative_is_s_times_1_minus_s() -> None:
    data = gallery("sigmoid", "tanh", "relu", points=100)
    z = np.linspace(-6, 6, 100)
    np.testing.assert_allclose(data["z"], z, atol=1e-12)
    sigmoid, tanh, relu = data["activations"]
    s = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(sigmoid["values"], s, rtol=1e-12)
    np.testing.assert_allclose(sigmoid["derivatives"], s * (1 - s), rtol=1e-9)
    # 0 is one of 241 points
    assert gallery("sigmoid")["activations"][0]["greatest_derivative"] == pytest.approx(0.25)
    np.testing.assert_allclose(tanh["derivatives"], 1 - np.tanh(z) ** 2, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(relu["derivatives"], z > 0)


@pytest.mark.parametrize("name", get_args(ActivationName))
def test_every_activations_derivative_is_its_slope(name: str) -> None:
    (found,) = gallery(name, low=-3.0, high=3.1, points=2001)["activations"]
    z, values = np.linspace(-3, 3.1, 2001), np.array(found["values"])
    differences = (values[2:] - values[:-2]) / (z[2:] - z[:-2])
    off = np.abs(differences - np.array(found["derivatives"])[1:-1])
    # at a kink, which no point hits, the difference lies between both slopes
    assert (off > 1e-4).sum() <= 4
    assert np.median(off) < 1e-5


def test_names_tell_fields_and_faults_their_place() -> None:
    data = gallery("swish", {"type": "swish", "beta": 1.5}, "swish")
    assert [each["name"] for each in data["activations"]] == ["swish", "swish beta 1.5", "swish #2"]
    with pytest.raises(Invalid) as caught:
        gallery("rellu", low=3, high=2)
    assert "/activations/0" in {fault.pointer for fault in caught.value.errors}
    with pytest.raises(Invalid) as caught:
        gallery("relu", low=3, high=2)
    assert [fault.pointer for fault in caught.value.errors] == ["/high"]

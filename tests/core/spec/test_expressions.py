"""Formulas for derived columns: the tree that is read, and what is refused."""

from __future__ import annotations

import ast
import contextlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.spec.expressions import (
    Binary,
    Call,
    Expression,
    ExpressionError,
    Name,
    Negate,
    Number,
    names_in,
    parse_expression,
)

_PYTHON = {"+": "__add__", "-": "__sub__", "*": "__mul__"}


def evaluate(tree: Expression, values: dict[str, float]) -> float:
    match tree:
        case Number():
            return tree.value
        case Name():
            return values[tree.name]
        case Negate():
            return -evaluate(tree.operand, values)
        case Binary():
            left, right = evaluate(tree.left, values), evaluate(tree.right, values)
            operations = {"/": left / right if right else 0.0, "**": left**right if abs(right) < 4 and left else 0.0}
            if tree.operator in _PYTHON:
                return float(getattr(left, _PYTHON[tree.operator])(right))
            return float(operations.get(tree.operator, left < right))
        case Call():
            return float(getattr(math, tree.function)(*(evaluate(each, values) for each in tree.arguments)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("2 ** 3 ** 1", 8.0),
        ("-2 ** 2", -4.0),
        ("2 ** -1", 0.5),
        ("8 / 4 / 2", 1.0),
        ("10 - 3 - 2", 5.0),
        ("--x", 3.0),
        ("1.5e2 + .5", 150.5),
        ("cos(pi)", -1.0),
        ("hypot(x, 4)", 5.0),
        ("x < 4", 1.0),
        ("`odd name` * 2", 14.0),
        ("größe", 5.0),
    ],
)
def test_values(text: str, value: float) -> None:
    names = {"x": 3.0, "odd name": 7.0, "größe": 5.0}
    assert evaluate(parse_expression(text), names) == pytest.approx(value)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.integers(0, 9).map(str) | st.sampled_from(["x", "y"]),
        lambda inner: (
            st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(" ".join)
            | inner.map(lambda text: f"({text})")
            | inner.map(lambda text: f"-{text}")
        ),
        max_leaves=8,
    )
)
def test_precedence_is_pythons(text: str) -> None:
    values = {"x": 2.0, "y": -3.0}
    expected = eval(compile(ast.parse(text, mode="eval"), "", "eval"), {}, values)
    assert evaluate(parse_expression(text), values) == expected


def test_the_example_of_the_documentation() -> None:
    x1, x2 = Name("x1"), Name("x2")
    tree = parse_expression("x1*x1 + x2*x2")
    assert tree == Binary("+", Binary("*", x1, x1), Binary("*", x2, x2))
    assert names_in(tree) == {"x1", "x2"}
    assert names_in(parse_expression("where(a > 0, max(b, 1, c), -d)")) == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "received 'the end' at character 1"),
        ("1 +", "received 'the end'"),
        ("x y", "received 'y' at character 3"),
        ("(x", "expected '\\)'"),
        ("x)", "expected an operator or the end"),
        ("sqr(x)", "do write sqrt"),
        ("frobnicate(x)", "do compose it of those"),
        ("sqrt(x, y)", "received 2 arguments of sqrt, expected 1"),
        ("max(x)", "expected 2 to 8"),
        ("a < b < c", "do multiply two"),
        ("1e999", "below 1.8e308"),
        ("x; y", "received ';' at character 2"),
        ("__import__('os')", "received"),
        ("x.real", "received '.'"),
        ("[x]", "received '\\['"),
        ("x if y else z", "received 'if'"),
        ("(" * 400 + "x" + ")" * 400, "nested parentheses"),
        ("sqrt(" * 400, "nested parentheses"),
        ("2" + "**2" * 300, "nested parentheses"),
        ("-" * 900, "expected a number"),
        ("+".join(["x"] * 300), "nested operations"),
    ],
)
def test_what_is_no_formula(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        parse_expression(text)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="x1.+-*/<>=!()`, esqrt\t\n_é", max_size=60))
def test_any_text_gives_a_tree_or_a_sentence(text: str) -> None:
    with contextlib.suppress(ExpressionError):  # any other exception is a fault of the parser
        names_in(parse_expression(text))

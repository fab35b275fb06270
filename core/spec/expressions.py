"""Derived columns: a small language of formulas, read into a tree of plain dataclasses and never evaluated as Python.

Grammar, loosest first: one comparison (< <= > >= == !=, giving 1 or 0), + -, * /, unary -, ** (to the right,
as in Python). Operands are numbers, column names (in backticks when a name is no identifier), the constant pi,
parentheses and calls of FUNCTIONS.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, cast

BinaryOperator = Literal["+", "-", "*", "/", "**", "<", "<=", ">", ">=", "==", "!="]

FUNCTIONS: dict[str, tuple[int, int]] = {
    "sqrt": (1, 1),
    "abs": (1, 1),
    "log": (1, 1),
    "log2": (1, 1),
    "log10": (1, 1),
    "log1p": (1, 1),
    "exp": (1, 1),
    "expm1": (1, 1),
    "sin": (1, 1),
    "cos": (1, 1),
    "tan": (1, 1),
    "asin": (1, 1),
    "acos": (1, 1),
    "atan": (1, 1),
    "sinh": (1, 1),
    "cosh": (1, 1),
    "tanh": (1, 1),
    "asinh": (1, 1),
    "acosh": (1, 1),
    "atanh": (1, 1),
    "floor": (1, 1),
    "ceil": (1, 1),
    "round": (1, 1),
    "sign": (1, 1),
    "atan2": (2, 2),
    "hypot": (2, 2),
    "mod": (2, 2),
    "min": (2, 8),
    "max": (2, 8),
    "clip": (3, 3),
    "where": (3, 3),
}
"""Name: least and greatest number of arguments.

`where(condition, a, b)` is a where the condition is not 0. `mod(a, b)` has the sign of b, so that
`mod(phi1 - phi2 + pi, 2*pi) - pi` is an angle's difference; `round` goes to the even neighbour.
"""

CONSTANTS: dict[str, float] = {"pi": math.pi}

MAX_DEPTH = 100
"""Nested operations: whoever walks the tree may recurse."""


class ExpressionError(ValueError):
    """The text is no expression; the message says what was received and what was expected."""


@dataclass(frozen=True, slots=True)
class Number:
    """A literal or a constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """A column."""

    name: str


@dataclass(frozen=True, slots=True)
class Negate:
    """-operand."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """left operator right."""

    operator: BinaryOperator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """A function of FUNCTIONS."""

    function: str
    arguments: tuple[Expression, ...]


Expression = Number | Name | Negate | Binary | Call


def parse_expression(text: str) -> Expression:
    """The tree of `text`; raises ExpressionError."""
    parser = _Parser(_tokens(text))
    tree = parser.comparison()
    parser.end()
    if _depth(tree) > MAX_DEPTH:
        raise ExpressionError(
            f"received more than {MAX_DEPTH} nested operations, expected fewer; do derive it in steps"
        )
    return tree


def names_in(expression: Expression) -> frozenset[str]:
    """The columns that an expression reads."""
    if isinstance(expression, Name):
        return frozenset({expression.name})
    return frozenset().union(*(names_in(child) for child in _children(expression)))


def _children(expression: Expression) -> tuple[Expression, ...]:
    match expression:
        case Negate():
            return (expression.operand,)
        case Binary():
            return (expression.left, expression.right)
        case Call():
            return expression.arguments
        case _:
            return ()


def _depth(tree: Expression) -> int:
    """Level by level, because a long sum leans to the left by hundreds of levels."""
    level, depth = [tree], 0
    while level:
        level, depth = [child for node in level for child in _children(node)], depth + 1
    return depth


_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|`(?P<quoted>[^`]+)`"
    r"|(?P<operator>\*\*|<=|>=|==|!=|[-+*/<>(),]))"
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, name, quoted, operator, end
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise ExpressionError(
                f"received {text[at]!r} at character {at + 1}, expected numbers, columns, + - * / **, comparisons, "
                "parentheses or functions; do write a column whose name has other signs in `backticks`"
            )
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match.group(kind), match.start(kind)))
        at = match.end()
    return [*tokens, _Token("end", "the end", len(text))]


class _Parser:
    """Recursive descent; one method a level of the grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._nesting = 0

    def comparison(self) -> Expression:
        left = self._sum()
        if self._here("<", "<=", ">", ">=", "==", "!="):
            left = Binary(self._operator(), left, self._sum())
            if self._here("<", "<=", ">", ">=", "==", "!="):
                raise self._unexpected("one comparison; do multiply two: (a < b) * (b < c)")
        return left

    def end(self) -> None:
        if self._peek.kind != "end":
            raise self._unexpected("an operator or the end")

    def _sum(self) -> Expression:
        left = self._product()
        while self._here("+", "-"):
            left = Binary(self._operator(), left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while self._here("*", "/"):
            left = Binary(self._operator(), left, self._signed())
        return left

    def _signed(self) -> Expression:
        signs = 0
        while self._here("-", "+"):
            signs += self._operator() == "-"
        power = self._power()
        return Negate(power) if signs % 2 else power

    def _power(self) -> Expression:
        base = self._operand()
        if not self._here("**"):
            return base
        operator = self._operator()
        self._deeper()
        exponent = self._signed()
        self._nesting -= 1
        return Binary(operator, base, exponent)

    def _operand(self) -> Expression:
        token = self._next()
        if token.kind == "number":
            value = float(token.text)
            if math.isinf(value):
                raise ExpressionError(f"received {token.text}, expected a number below 1.8e308; do write a smaller one")
            return Number(value)
        if token.kind == "quoted":
            return Name(token.text)
        if token.kind == "name":
            return self._named(token)
        if token.text == "(":
            self._deeper()
            inner = self.comparison()
            self._nesting -= 1
            self._expect(")")
            return inner
        self._at -= 1
        raise self._unexpected("a number, a column, a function or (")

    def _named(self, token: _Token) -> Expression:
        if not self._here("("):
            return Number(CONSTANTS[token.text]) if token.text in CONSTANTS else Name(token.text)
        if token.text not in FUNCTIONS:
            near = get_close_matches(token.text, FUNCTIONS, n=1)
            advice = f"do write {near[0]}" if near else "do compose it of those"
            raise ExpressionError(
                f"received the unknown function {token.text}, expected one of {', '.join(FUNCTIONS)}; {advice}"
            )
        self._next()
        self._deeper()
        arguments = [self.comparison()]
        while self._here(","):
            self._next()
            arguments.append(self.comparison())
        self._nesting -= 1
        self._expect(")")
        least, most = FUNCTIONS[token.text]
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise ExpressionError(
                f"received {len(arguments)} arguments of {token.text}, expected {wanted}; do give that many"
            )
        return Call(token.text, tuple(arguments))

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _here(self, *operators: str) -> bool:
        return self._peek.kind == "operator" and self._peek.text in operators

    def _next(self) -> _Token:
        token = self._peek
        self._at += 1
        return token

    def _operator(self) -> BinaryOperator:
        return cast(BinaryOperator, self._next().text)

    def _expect(self, operator: str) -> None:
        if not self._here(operator):
            raise self._unexpected(repr(operator))
        self._at += 1

    def _deeper(self) -> None:
        """Parentheses and powers are the only ways to recurse: a limit on them is one on the stack."""
        self._nesting += 1
        if self._nesting > MAX_DEPTH // 2:
            raise ExpressionError(
                f"received more than {MAX_DEPTH // 2} nested parentheses, expected fewer; do derive it in steps"
            )

    def _unexpected(self, expected: str) -> ExpressionError:
        token = self._peek
        advice = "" if "; do " in expected else "; do correct it there"
        return ExpressionError(f"received {token.text!r} at character {token.at + 1}, expected {expected}{advice}")

"""Data that the suite's handlers exchange, one type of each kind the SDK serialises."""

from dataclasses import dataclass
from typing import TypedDict

from pydantic import BaseModel, Field


@dataclass
class Order:
    item: str
    count: int


class Customer(BaseModel):
    name: str
    age: int = Field(ge=0)
    tags: list[str] = []


class Point(TypedDict):
    x: int
    y: int

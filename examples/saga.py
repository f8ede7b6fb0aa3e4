"""A saga: book a trip in three steps; when one fails for good, what was booked before is cancelled.

    holdfast serve examples.saga:app
    curl localhost:8080/Trips/book --json '{"traveller": "Ada", "city": "Lisbon", "budget": 900}'
    curl localhost:8080/Trips/book --json '{"traveller": "Ada", "city": "Lisbon", "budget": 400}'

Every line of it is durable, the cancelling too: a crash in the middle of it goes on with what is left.
"""

from dataclasses import dataclass

import holdfast
from holdfast import Context, Retry

FLIGHT, HOTEL = 250, 350


@dataclass
class Trip:
    """What is wanted. `budget` is in EUR."""

    traveller: str
    city: str
    budget: int


trips = holdfast.Service("Trips")


@trips.handler
async def book(ctx: Context, trip: Trip) -> list[str]:
    """Book flight and hotel and pay for both, or leave nothing behind. The references of what was booked."""
    key = str(ctx.uuid())  # drawn once and replayed: the same in every attempt
    async with holdfast.saga() as undo:
        undo.add(
            cancel_flight, key
        )  # before the step: a booking that failed half way may be there all the same
        flight = await ctx.run(book_flight, key, trip)
        undo.add(cancel_hotel, key)
        hotel = await ctx.run(book_hotel, key, trip)
        await charge(trip, FLIGHT + HOTEL)  # a step by itself, see there
    return [flight, hotel]


# The world: plain functions. Each may run again when it was cut short, and bears that by its `key`.


def book_flight(key: str, trip: Trip) -> str:
    """The airline's reference."""
    print(f"airline: {trip.traveller} flies to {trip.city}", flush=True)
    return f"flight-{key[:8]}"


def cancel_flight(key: str) -> None:
    """Cancelling what is not there is fine."""
    print(f"airline: flight-{key[:8]} is cancelled", flush=True)


def book_hotel(key: str, trip: Trip) -> str:
    """The hotel's reference; a TerminalError ends the booking, any other error would be tried again."""
    if trip.city == "Atlantis":
        raise holdfast.TerminalError("there is no hotel in Atlantis", code=404)
    print(f"hotel: a room in {trip.city}", flush=True)
    return f"room-{key[:8]}"


def cancel_hotel(key: str) -> None:
    """As `cancel_flight`."""
    print(f"hotel: room-{key[:8]} is cancelled", flush=True)


@holdfast.step(retry=Retry(max_attempts=5, max_interval=60))
async def charge(trip: Trip, price: int) -> None:
    """Tried five times, then given up; a card that is declined is not tried again."""
    if price > trip.budget:
        raise holdfast.TerminalError(f"the card is declined: {price} EUR", code=402)
    print(f"bank: {price} EUR from {trip.traveller}", flush=True)


app = holdfast.app(trips)

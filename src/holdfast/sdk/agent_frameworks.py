"""Whose call was refused: a model call of an agent framework has another cure than `ctx.run`.

Only names are known here. The integrations are built on the SDK, not the other way round.
"""

from types import FrameType

CURES = {
    "pydantic_ai.": "Give the agent `capabilities=[Durable()]`, from holdfast.ai.pydantic_ai",
    "agents.run": "Wrap the agent, `durable(agent)`, from holdfast.ai.openai_agents",
    "agents.models.": "Wrap the agent, `durable(agent)`, from holdfast.ai.openai_agents",
    "litellm.": "Call `acompletion` of holdfast.ai.litellm",
}
"""By how the name of a module begins."""


def framework_cure(frame: FrameType | None) -> str | None:
    """What to do when a framework asks for what the journal does not see; None when the user's code asks.

    Args:
        frame: of the call; those under it are looked at, up to the user's.
    """
    # Deployments where nothing is refused never load it.
    from holdfast.sdk.file_owners import USER, owner_of

    while frame is not None and owner_of(frame.f_code.co_filename) is not USER:
        module = str(frame.f_globals.get("__name__", ""))
        for beginning, cure in CURES.items():
            if module.startswith(beginning):
                return cure
        frame = frame.f_back
    return None

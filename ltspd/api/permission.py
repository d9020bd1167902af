"""Method of ``Manager`` about what its caller may do, so that programs offer people no more than that."""

from collections.abc import Sequence

from ltspd.api.noun import Call, Core, Method, Question, Refusal, Typed
from ltspd.model.state import State

# Calls in one question: each may have to be asked of polkit.
MOST = 100


async def _may_call(_core: Core, _state: State, call: Call) -> Sequence[bool]:
    (asked,) = call.arguments
    if len(asked) > MOST:
        raise Refusal("InvalidArgs", f"MayCall takes up to {MOST} calls, not {len(asked)}.")
    questions = [
        Question(path, method, tuple(Typed(each.signature, each.value) for each in arguments))
        for path, method, arguments in asked
    ]
    return await call.may(questions)


METHODS: tuple[Method[State], ...] = (
    Method(
        name="MayCall",
        inputs="a(osav) calls",
        outputs="ab allowed",
        run=_may_call,
        action=None,
        doc=f"""Say of each of these calls whether its caller would be allowed to make it, without being asked
            for a password: an object, the name of one of its methods, and its arguments. polkit is asked as
            for the call itself, so that rules about single rooms or images count. Whether the call would
            succeed is another matter; of an object that is gone, it says no. {MOST} calls at most.""",
        since="0.6.0",
    ),
)

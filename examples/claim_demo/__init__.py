"""An insurance-claim agent that survives kill -9, and the demo that proves it.

Read `service.py` first: it is the agent, with `model.py` and `steps.py` beside it. `bank.py` is the payment
provider it pays through, `effects.py` the log in which every step body leaves a line. `demo.py` tells the
story; `application.py` starts and kills the server and the agent; `stage.py`, `processes.py`,
`server_view.py`, `timeline.py` and `account.py` are its other tools.
"""

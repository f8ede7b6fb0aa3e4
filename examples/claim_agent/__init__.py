"""An insurance-claim agent that survives kill -9, and the demo that proves it.

Read `service.py` first: it is the agent, written with the official Python SDK. `bank.py` is the payment
provider it pays through, `effects.py` the log in which every step body leaves a line. `demo.py` starts
everything, kills it twice, and prints the account; `processes.py`, `server_view.py` and `account.py` are
its three tools.
"""

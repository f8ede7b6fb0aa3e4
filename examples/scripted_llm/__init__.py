"""A scripted, OpenAI-compatible model endpoint: the same conversation always gets the same answer.

Owns the script format (`script.py`), the two wire dialects (`chat.py`, `responses.py`) and the HTTP server
(`server.py`). Keeps no state between calls, so killing and restarting it, or asking twice, changes nothing.
It never reaches the network and needs no key. Run it with `python -m examples.scripted_llm.server --help`.
"""

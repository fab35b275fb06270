"""How the steps of a run are done. The loop (`core.engine.run`) is one, and so is the network (`core.engine.network`).

`autograd`   any network: PyTorch records the forward pass and goes back through it.
`direct`     layers in a row whose backward pass is written here (`kernels`), for a stack of networks at once (`stack`):
             one network is a stack of one, a cohort a stack of many, and their bits are the same.
`compiled`   the direct step, several unrolled, as machine code (`compiled`).

`choice` says which of them a run takes, before its first step; `due` is what the loop hands over.
"""

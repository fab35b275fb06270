"""How the steps of a run are done. The loop (`core.engine.run`) is one, and so is the network (`core.engine.network`).

`autograd`   any network: PyTorch records the forward pass and goes back through it.
`direct`     layers in a row whose backward pass is written here (`kernels`), for a stack of networks at once (`stack`):
             one network is a stack of one, a cohort a stack of many, and their bits are the same.
`compiled`   the direct step, several unrolled, as machine code (`compiled`).

`choice` says which of them a run takes, before its first step. What the loop comes to it hands over as a `Due` (`due`):
`solo` takes the steps of one run, `together` those of several that ride in one process (`core.engine.cohort`).

Read `due`, `solo`, `stack` and `kernels` in this order for one run, then `together` for many; `compiled` uses `traced`
(several direct steps as a function of tensors) and `inductor` (its machine code); `graphed` is the step on a GPU.
"""

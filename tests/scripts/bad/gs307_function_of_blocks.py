"""Checkpointing in a helper that runs a list of blocks, from the very input on."""

import torch
import torch.utils.checkpoint as cp

torch.manual_seed(0)
blocks = torch.nn.ModuleList(
    torch.nn.Sequential(torch.nn.Conv1d(4, 4, 3, padding=1), torch.nn.Tanh()) for _ in range(3)
)
readout = torch.nn.Linear(4, 2)
adam = torch.optim.Adam([*blocks.parameters(), *readout.parameters()], lr=1e-3)


def run(signal):
    for block in blocks:
        signal = cp.checkpoint(block, signal, use_reentrant=True)  # expect: GS307
    return readout(signal.mean(-1))


for _ in range(5):
    logits = run(torch.randn(6, 4, 10))
    loss = torch.nn.functional.cross_entropy(logits, torch.randint(0, 2, (6,)))
    adam.zero_grad()
    loss.backward()
    adam.step()

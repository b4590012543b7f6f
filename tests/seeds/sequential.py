import torch
import torch.nn as nn
model = nn.Sequential(
nn.Linear(20, 10),
nn.ReLU(),
nn.Linear(10, 5),
nn.Sigmoid(),
nn.Linear(5, 1)
)

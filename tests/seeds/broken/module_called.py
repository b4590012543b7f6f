import torch
W, b=torch.random(1), torch.random(1)

import torch.nn as nn
class SimpleLinearModel(nn.Module):
def __init__(self):
super(SimpleLinearModel, self).__init__()
self.linear = nn.Linear(1, 1) # Simple linear layer
def forward(self, x):
return self.linear(x)

import torch
import torch.nn as nn
class SimpleNet(nn.Module):
    def __init__(self):
        super(SimpleNet, self).__init__()
        self.fc1 = nn.Linear(20, 10)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(10, 1)
    def forward(self, x):
        x = self.fc1(x)
        x = self.relu(x)
        x = self.fc2(x)
        return x
model = SimpleNet()
print(model)
x_test = torch.randn(1, 20) # Input: 1 sample, 20 features
output = model(x_test)
print(output.shape) # Output: torch.Size([1, 1])

import torch
t = torch.tensor([[1, 2, 3], [4, 5, 6]])
print(t)
import numpy as np
n_array = np.array([1, 2, 3])
tn = torch.tensor(n_array)
print(tn)
x = torch.tensor(1.0, requires_grad=True)
W = torch.tensor(2.0, requires_grad=True)
b = torch.tensor(3.0, requires_grad=True)
y = W * x + b # Compute y with a simple linear function
y.backward() # Back-propagate to compute gradients
print(x.grad) # Gradient of y with respect to x
print(W.grad) # Gradient of y with respect to W
print(b.grad) # Gradient of y with respect to b
import torch.nn as nn
class SimpleLinearModel(nn.Module):
    def __init__(self):
        super(SimpleLinearModel, self).__init__()
        self.linear = nn.Linear(1, 1) # Simple linear layer
    def forward(self, x):
        return self.linear(x)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model = SimpleLinearModel().to(device)
data = torch.tensor([[2.0]]).to(device)
output = model(data)
print(output)
import torch.optim as optim
optimizer = optim.SGD(model.parameters(), lr=0.01) # Learning rate set to 0.01
optimizer.zero_grad() # Zero gradients of all variables
loss = (output - torch.tensor([[1.0]]).to(device)) ** 2 # Fake loss
loss.backward() # Compute gradients
optimizer.step() # Update parameters
criterion = nn.MSELoss()
example_output = model(data) # Reuse model call from above
target = torch.tensor([[5.0]]).to(device) # Example target output
loss = criterion(example_output, target)
print('Loss:', loss.item())

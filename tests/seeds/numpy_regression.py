import torch
import torch.nn as nn
import numpy as np
np.random.seed(42)
x = np.random.rand(100, 1) # 100 samples, 1 feature
y = 2 * x + 3 + 0.5 * np.random.randn(100, 1) # Add noise
x_tensor = torch.FloatTensor(x)
y_tensor = torch.FloatTensor(y)
model = nn.Linear(in_features=1, out_features=1) # Input: 1D, Output: 1D
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
epochs = 1000 # Number of training iterations
for epoch in range(epochs):
    y_pred = model(x_tensor)
    loss = criterion(y_pred, y_tensor)
    optimizer.zero_grad() # Clear gradients (avoid accumulation)
    loss.backward() # Backpropagation to compute gradients
    optimizer.step() # Update parameters (W and b)
    if (epoch + 1) % 100 == 0:
        print(f'Epoch [{epoch+1}/{epochs}], Loss: {loss.item():.4f}')
print("Model parameters:")
print("W =", model.weight.item()) # Close to 2
print("b =", model.bias.item()) # Close to 3

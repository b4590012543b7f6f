import torch
import torch.nn as nn
import torch.optim as optim
living_area = torch.tensor([850, 900, 1200, 1500, 1700, 1850, 2100, 2200, 2300, 2400], dtype=torch.float32).reshape(-1, 1)
price = torch.tensor([150, 160, 200, 240, 280, 300, 340, 360, 380, 400], dtype=torch.float32).reshape(-1, 1)
model = nn.Linear(1, 1)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.0000001)
for epoch in range(1000):
    outputs = model(living_area)
    loss = criterion(outputs, price)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if (epoch+1) % 100 == 0:
        print ('Epoch [{}/{}], Loss: {:.4f}'.format(epoch+1, 1000, loss.item()))
predicted_price = model(torch.tensor([[2000.0]]))
print(f'The predicted price of a house with 2000 square feet is: {predicted_price.item()} thousand dollars.')

import torch

torch.manual_seed(0)
x = torch.randn(100, 5) * 10
y = x @ torch.ones(5, 1)
model = torch.nn.Linear(5, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
for epoch in range(60):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()  # expect: GS102
    optimizer.step()
    if epoch % 10 == 0:
        print(epoch, loss.item())

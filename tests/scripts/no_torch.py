total = sum(i * i for i in range(1000))
print("fitted", total)

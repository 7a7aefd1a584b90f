from corebar import App

app = App()

@app.event("com.example.hello")
async def hello(text):
    print("event:", text, flush=True)

@app.register("com.example.add")
async def add(a, b):
    return a + b

app.run()

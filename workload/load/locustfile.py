"""The same users as tasks-load's, for those who have Locust:

    locust -f workload/load/locustfile.py --host http://localhost:5000
"""

import random

from locust import FastHttpUser, between, task


class TaskUser(FastHttpUser):
    wait_time = between(1, 5)

    def on_start(self):
        self.own = {}

    def expect(self, answer, status, message):
        if answer.status_code != status:
            answer.failure(f"answered {answer.status_code} where {status} was expected")
        elif answer.json() != {"message": message}:
            answer.failure(f"not the message {message!r}")
        else:
            return True
        return False

    @task(8)
    def read(self):
        with self.client.get("/tasks", catch_response=True) as answer:
            if answer.status_code != 200:
                return answer.failure(f"answered {answer.status_code} where 200 was expected")
            tasks = {task["id"]: task["task"] for task in answer.json()}
            if list(tasks) != sorted(tasks):
                return answer.failure("the list is not in order")
            # What lies beyond the last task of a full page may be on the next one.
            last = max(tasks, default=0)
            for id, text in self.own.items():
                if (id <= last or len(tasks) < 1000) and tasks.get(id) != text:
                    return answer.failure("a task is missing or has another text than it was given")

    @task(3)
    def add(self):
        text = f"task {random.getrandbits(32):08x}"
        with self.client.post("/tasks", json={"task": text}, catch_response=True) as answer:
            if self.expect(answer, 201, "Task added"):
                self.own[int(answer.headers["Location"].removeprefix("/tasks/"))] = text

    @task(2)
    def update(self):
        if not self.own:
            return self.add()
        id, text = random.choice(list(self.own)), f"task {random.getrandbits(32):08x}"
        with self.client.put(f"/tasks/{id}", json={"task": text}, name="/tasks/{id}", catch_response=True) as answer:
            if self.expect(answer, 200, "Task updated"):
                self.own[id] = text

    @task(3)
    def delete(self):
        if not self.own:
            return self.add()
        id = random.choice(list(self.own))
        del self.own[id]
        with self.client.delete(f"/tasks/{id}", name="/tasks/{id}", catch_response=True) as answer:
            self.expect(answer, 200, "Task deleted")

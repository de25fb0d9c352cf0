-- Argo CD's health check of an ObservedApp, by its conditions; a spent error budget is Healthy. A release that was taken
-- back is Degraded, though the app serves: what Git asks for does not run.
local hs = {}
if obj.spec ~= nil and obj.spec.paused then
  hs.status = "Suspended"
  hs.message = "spec.paused is true: nothing is changed until it is false again"
  return hs
end

local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local function holds(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

if status.observedGeneration ~= obj.metadata.generation or conditions.Ready == nil then
  hs.status = "Progressing"
  hs.message = "the operator has not seen this generation yet"
elseif holds("Stalled") then
  hs.status = "Degraded"
  hs.message = conditions.Stalled.message
elseif holds("Ready") and conditions.Released ~= nil and conditions.Released.status == "False" and holds("Reconciling") then
  hs.status = "Progressing"
  hs.message = conditions.Released.message
elseif holds("Ready") then
  hs.status = "Healthy"
  hs.message = conditions.Ready.message
elseif holds("Reconciling") then
  hs.status = "Progressing"
  hs.message = conditions.Reconciling.message
else
  hs.status = "Degraded"
  hs.message = conditions.Ready.message
end
return hs

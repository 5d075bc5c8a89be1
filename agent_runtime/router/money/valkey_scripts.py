"""What the ledger does in Valkey in one step each, in Valkey's own Lua.

Keys, below the ledger's prefix: ``totals:MONTH`` (hash: ``s:SCOPE`` spent, ``r:SCOPE`` reserved), ``charges:DAY``
(hash: series and number of the measure -> sum), ``hold:ID`` (hash), ``open`` (sorted set of holds that are not settled,
by time), ``journal:NAME`` (how far it was taken), ``alive:OWNER``. The prefix holds a hash tag, so that all of them are
in one slot of a cluster. Amounts are whole billionths of a dollar, exact in Lua's numbers up to nine million dollars.
"""

from __future__ import annotations

from typing import Final

_COMMON: Final = """
local prefix = ARGV[1]
local function whole(n) return string.format('%.0f', n) end
local function amount(key, field) return tonumber(redis.call('HGET', key, field) or '0') end
local function totals(day) return prefix .. 'totals:' .. string.sub(day, 1, 7) end
local function add_total(day, scopes, kind, nano)
  if nano == 0 then return end
  local key = totals(day)
  for _, scope in ipairs(scopes) do redis.call('HINCRBY', key, kind .. scope, whole(nano)) end
end
local function charge(day, series, measures)
  local key = prefix .. 'charges:' .. day
  for _, pair in ipairs(measures) do
    if pair[2] ~= 0 then redis.call('HINCRBY', key, series .. '\\n' .. whole(pair[1]), whole(pair[2])) end
  end
end
local function finish(id, state, kept)
  local key = prefix .. 'hold:' .. id
  redis.call('HSET', key, 'state', state)
  redis.call('EXPIRE', key, kept)
  redis.call('ZREM', prefix .. 'open', id)
end
"""

RESERVE: Final = (
    _COMMON
    + """
local hold = cjson.decode(ARGV[2])
local key = prefix .. 'hold:' .. hold.id
if redis.call('EXISTS', key) == 1 then return {1} end
for number, limit in ipairs(hold.limits) do
  local found = totals(hold.day)
  local committed = amount(found, 's:' .. limit[1]) + amount(found, 'r:' .. limit[1])
  if committed + hold.nano > limit[2] then return {0, number, whole(committed)} end
end
redis.call('HSET', key, 'owner', hold.owner, 'day', hold.day, 'series', hold.series, 'nano', whole(hold.nano),
  'scopes', cjson.encode(hold.scopes), 'state', 'open')
redis.call('ZADD', prefix .. 'open', hold.at, hold.id)
add_total(hold.day, hold.scopes, 'r:', hold.nano)
return {1}
"""
)
"""ARGV: prefix, the hold as JSON. Gives {1}, or {0, number of the limit, committed}."""

RELEASE: Final = (
    _COMMON
    + """
local key = prefix .. 'hold:' .. ARGV[2]
if redis.call('HGET', key, 'state') ~= 'open' then return 0 end
local found = redis.call('HMGET', key, 'day', 'scopes', 'nano')
add_total(found[1], cjson.decode(found[2]), 'r:', -tonumber(found[3]))
finish(ARGV[2], 'settled', ARGV[3])
return 1
"""
)
"""ARGV: prefix, the hold's id, for how many seconds to remember that it is settled."""

TAKE: Final = (
    _COMMON
    + """
local batch = cjson.decode(ARGV[2])
local journal = prefix .. 'journal:' .. batch.journal
local taken = tonumber(redis.call('GET', journal) or '0')
if taken > batch.first then return taken end
for _, sum in ipairs(batch.sums) do
  charge(sum.day, sum.series, sum.measures)
  add_total(sum.day, sum.scopes, 's:', sum.nano)
end
for _, settled in ipairs(batch.settlements) do
  local key = prefix .. 'hold:' .. settled.id
  local found = redis.call('HMGET', key, 'state', 'day', 'scopes', 'nano', 'series')
  local state = found[1]
  if not state then
    charge(settled.day, settled.series, settled.measures)
    add_total(settled.day, settled.scopes, 's:', settled.nano)
    finish(settled.id, 'settled', ARGV[3])
  elseif state ~= 'settled' then
    local reserved, scopes = tonumber(found[4]), cjson.decode(found[3])
    charge(found[2], found[5], settled.measures)
    add_total(found[2], scopes, 's:', settled.nano)
    if state == 'abandoned' then
      charge(found[2], found[5], {{batch.requests, -1}, {batch.errors, -1}, {batch.nano, -reserved}})
      add_total(found[2], scopes, 's:', -reserved)
    else
      add_total(found[2], scopes, 'r:', -reserved)
    end
    finish(settled.id, 'settled', ARGV[3])
  end
end
redis.call('SET', journal, whole(batch.upto), 'EX', ARGV[4])
return batch.upto
"""
)
"""ARGV: prefix, the batch as JSON, for how many seconds to remember settled holds, and journals."""

ABANDON: Final = (
    _COMMON
    + """
local key = prefix .. 'hold:' .. ARGV[2]
local found = redis.call('HMGET', key, 'state', 'owner', 'day', 'scopes', 'nano', 'series')
if found[1] ~= 'open' then redis.call('ZREM', prefix .. 'open', ARGV[2]) return 0 end
if redis.call('EXISTS', prefix .. 'alive:' .. found[2]) == 1 then return 0 end
local reserved, scopes, columns = tonumber(found[5]), cjson.decode(found[4]), cjson.decode(ARGV[4])
charge(found[3], found[6], {{columns[1], 1}, {columns[2], 1}, {columns[3], reserved}})
add_total(found[3], scopes, 's:', reserved)
add_total(found[3], scopes, 'r:', -reserved)
finish(ARGV[2], 'abandoned', ARGV[3])
return 1
"""
)
"""ARGV: prefix, the hold's id, for how many seconds to remember it, the numbers of three measures as JSON: requests,
errors, nano_usd. Gives how many holds were charged."""

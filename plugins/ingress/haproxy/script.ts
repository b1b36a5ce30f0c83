/**
 * The Lua that HAProxy runs where its own rules do not reach: for a request that is unusual in its form (`odd`), and for a
 * path with conditions, weights, redirects or rewrites (`route`). An ordinary request meets neither. Fixed text: what differs
 * comes as arguments and as records (record.ts).
 */
export const script = String.raw`
local function split(text, separator)
  local parts, from = {}, 1
  while true do
    local at = text:find(separator, from, true)
    if not at then
      parts[#parts + 1] = text:sub(from)
      return parts
    end
    parts[#parts + 1] = text:sub(from, at - 1)
    from = at + 1
  end
end
local function decode(text)
  return (text:gsub('%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end))
end
local function trim(text)
  return (text:gsub('^[ \t]+', ''):gsub('[ \t]+$', ''))
end
local function values(headers, name)
  local found, list = headers[name], {}
  if found then
    for index = 0, #found do list[#list + 1] = found[index] end
  end
  return list
end

-- ---- answers
local reasons = {
  [400] = 'Bad Request', [404] = 'Not Found', [405] = 'Method Not Allowed', [413] = 'Content Too Large',
  [503] = 'Service Unavailable',
}
local function answer(txn, status, headers)
  headers = headers or {}
  local reply = txn:reply()
  reply:set_status(status, reasons[status])
  for name, value in pairs(headers) do reply:add_header(name, value) end
  local text = reasons[status] and (status .. ' ' .. reasons[status] .. '\n') or (status .. '\n')
  if not headers['content-type'] then
    reply:add_header('content-type', 'text/plain')
    if status ~= 204 and status ~= 304 and status ~= 205 and txn.sf:method() ~= 'HEAD' then reply:set_body(text) end
  end
  txn:set_var('txn.own', 1)
  txn:done(reply)
end

-- ---- records
local cache, cached, cachedMax = {}, 0, 4096
local function readAlternative(text)
  local parts = split(text, ';')
  local one = { conditions = {}, targets = {}, total = 0 }
  if parts[1] ~= '' then
    for _, condition in ipairs(split(parts[1], ',')) do
      local words = split(condition, ':')
      one.conditions[#one.conditions + 1] =
        { kind = words[1], name = decode(words[2]), value = words[3] and decode(words[3]) }
    end
  end
  one.kind = parts[2]:sub(1, 1)
  local rest = parts[2]:sub(3)
  if one.kind == 'f' then
    for _, target in ipairs(split(rest, ',')) do
      local words = split(target, ':')
      local weight = tonumber(words[2])
      one.targets[#one.targets + 1] = { place = words[1], weight = weight, credit = 0 }
      one.total = one.total + weight
    end
  elseif one.kind == 'r' then
    local words = split(rest, ':')
    one.status = tonumber(words[1])
    one.scheme, one.host, one.port, one.path = words[2], decode(words[3]), words[4], decode(words[5])
  else
    one.status = tonumber(rest)
  end
  for _, option in ipairs(split(parts[3], ',')) do
    local name, value = option:match('^(%l)=(.*)$')
    if name == 'b' then one.bodyMax = tonumber(value)
    elseif name == 's' then one.secure = tonumber(value)
    elseif name == 't' then one.hsts = decode(value)
    elseif name == 'p' then one.strip = tonumber(value)
    elseif name == 'n' then one.prefix = decode(value) end
  end
  return one
end
local function readRecord(text)
  local found = cache[text]
  if found then return found end
  local alternatives = {}
  for _, part in ipairs(split(text, '|')) do alternatives[#alternatives + 1] = readAlternative(part) end
  if cached >= cachedMax then cache, cached = {}, 0 end
  cache[text] = alternatives
  cached = cached + 1
  return alternatives
end

local function cookieOf(headers, name)
  for _, line in ipairs(values(headers, 'cookie')) do
    for _, pair in ipairs(split(line, ';')) do
      local key, value = pair:match('^%s*([^=]-)%s*=(.*)$')
      if key == name then return trim(value) end
    end
  end
end
local function holds(condition, txn, headers)
  if condition.kind == 'm' then return txn.sf:method() == condition.name end
  if condition.kind == 'c' then
    local found = cookieOf(headers, condition.name)
    return found ~= nil and (condition.value == nil or condition.value == found)
  end
  local found = values(headers, condition.name)
  if condition.value == nil then return #found > 0 end
  for _, value in ipairs(found) do
    if trim(value) == condition.value then return true end
  end
  return false
end

-- Who has waited longest for its share goes first: a tenth is every tenth request, not ten in a row.
local function takeTurn(one)
  local best
  for _, target in ipairs(one.targets) do
    target.credit = target.credit + target.weight
    if not best or target.credit > best.credit then best = target end
  end
  best.credit = best.credit - one.total
  return best.place
end

local function hostOf(txn)
  local host = txn.sf:req_hdr('host') or ''
  return host, (host:gsub(':%d*$', ''))
end
local function target(txn)
  local path = txn.sf:pathq() or '/'
  if path:sub(1, 1) ~= '/' then path = '/' .. path end
  return path
end

local function forward(txn, one)
  txn:set_var('txn.l', 1) -- its bound has been looked at
  if one.prefix then
    local path = one.prefix .. (txn.sf:path() or '/'):sub(one.strip + 1)
    if path:sub(1, 1) ~= '/' then path = '/' .. path end
    txn.http:req_set_path(path)
  end
  txn:set_var('txn.r', #one.targets == 1 and one.targets[1].place or takeTurn(one))
end
local function redirect(txn, one, secure)
  local whole, bare = hostOf(txn)
  local scheme = one.scheme ~= '' and one.scheme or (secure and 'https' or 'http')
  local changes = one.host ~= '' or one.port ~= '' or one.scheme ~= ''
  local host = one.host ~= '' and one.host or (changes and bare or whole)
  if one.port ~= '' then host = host .. ':' .. one.port end
  local path = one.path ~= '' and one.path or target(txn)
  answer(txn, one.status, { location = scheme .. '://' .. host .. path })
end

core.register_action('route', { 'http-req' }, function(txn, protocol)
  local text = txn:get_var('txn.r')
  local secure = protocol == 'https'
  local headers = txn.http:req_get_headers()
  local chosen
  for _, one in ipairs(readRecord(text:sub(text:find('~', 1, true) + 1))) do
    local all = true
    for _, condition in ipairs(one.conditions) do
      if not holds(condition, txn, headers) then all = false break end
    end
    if all then chosen = one break end
  end
  if not chosen then return answer(txn, 404) end
  if chosen.secure and not secure then
    local _, bare = hostOf(txn)
    return answer(txn, chosen.secure, { location = 'https://' .. bare .. target(txn) })
  end
  if chosen.hsts and secure then txn:set_var('txn.hsts', chosen.hsts) end
  local length = tonumber(values(headers, 'content-length')[1])
  if length and chosen.bodyMax > 0 and length > chosen.bodyMax then return answer(txn, 413) end
  if chosen.kind == 'f' then return forward(txn, chosen) end
  if chosen.kind == 'r' then return redirect(txn, chosen, secure) end
  if chosen.kind == 'g' then
    return answer(txn, 200, { ['content-type'] = 'application/grpc', ['grpc-status'] = tostring(chosen.status) })
  end
  answer(txn, chosen.status)
end, 1)

-- ---- requests of an unusual form
local hop = { 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'trailer', 'http2-settings' }
local origin = {
  ['forwarded'] = true, ['x-forwarded-for'] = true, ['x-forwarded-proto'] = true, ['x-forwarded-host'] = true,
  ['x-forwarded-port'] = true, ['x-real-ip'] = true,
}
-- Never taken away on a client's word: they say where the message ends and where it came from.
local kept = { ['host'] = true, ['content-length'] = true, ['transfer-encoding'] = true, ['te'] = true, ['connection'] = true, ['upgrade'] = true }

local function isHost(host)
  if #host > 260 then return false end
  local name, port = host:match('^([%w._-]*)(.*)$')
  if host:sub(1, 1) == '[' then name, port = host:match('^(%[[%x:.]+%])(.*)$') end
  if not name then return false end
  if port == '' or port == ':' then return true end
  local digits = port:match('^:(%d+)$')
  return digits ~= nil and #digits <= 5 and tonumber(digits) <= 65535
end

local function tidyConnection(txn, headers)
  local http = txn.http
  local names, upgrades = {}, false
  for _, line in ipairs(values(headers, 'connection')) do
    for _, token in ipairs(split(line:lower(), ',')) do
      token = trim(token)
      if token == 'upgrade' then upgrades = true elseif token ~= '' then names[#names + 1] = token end
    end
  end
  for _, name in ipairs(names) do
    if headers[name] and not kept[name] and not origin[name] then http:req_del_header(name) end
  end
  for _, name in ipairs(hop) do
    if headers[name] then http:req_del_header(name) end
  end
  local asked = values(headers, 'upgrade')
  local hasBody = headers['transfer-encoding'] or (tonumber(values(headers, 'content-length')[1]) or 0) > 0
  -- A list of protocols is for servers that choose; h2c would take the connection out of our sight.
  if upgrades and #asked == 1 and not hasBody and asked[1]:match("^[%w!#$%%&'*+.^_|~/-]+$") and asked[1]:lower() ~= 'h2c' then
    if #names > 0 then http:req_set_header('connection', 'upgrade') end
  else
    if headers['connection'] then http:req_del_header('connection') end
    if #asked > 0 then http:req_del_header('upgrade') end
  end
  local te = values(headers, 'te')
  if #te > 0 then
    local trailers = false
    for _, line in ipairs(te) do
      for _, token in ipairs(split(line:lower(), ',')) do trailers = trailers or trim(token) == 'trailers' end
    end
    if trailers then http:req_set_header('te', 'trailers') else http:req_del_header('te') end
  end
end

core.register_action('odd', { 'http-req' }, function(txn)
  local text = txn.sf:req_hdrs() or ''
  if text:find('[\0-\8\11\12\14-\31\127]') then return answer(txn, 400) end
  local method = txn.sf:method()
  if method == 'CONNECT' then return answer(txn, 405) end
  local headers = txn.http:req_get_headers()
  local hosts = values(headers, 'host')
  if #hosts > 1 or (hosts[1] and not isHost(hosts[1])) then return answer(txn, 400) end
  local url, path = txn.sf:url() or '', txn.sf:path() or ''
  if path:sub(1, 1) ~= '/' then
    if not url:lower():match('^https?://') then return answer(txn, 400) end
    txn.http:req_set_uri('/' .. (url:match('%?.*$') or ''))
  elseif url:sub(1, 1) ~= '/' and tonumber(txn.sf:fc_http_major()) == 1 then
    txn.http:req_set_uri(target(txn))
  end
  tidyConnection(txn, headers)
  local trusted = txn:get_var('txn.trusted')
  for name in pairs(headers) do
    if (name == 'forwarded' and not trusted) or (name:sub(1, 2) == 'x_' and origin[(name:gsub('_', '-'))])
      or (name:find('_', 1, true) and name:sub(1, 2) == 'x-' and origin[(name:gsub('_', '-'))]) then
      txn.http:req_del_header(name)
    end
  end
end, 0)

core.register_action('hop', { 'http-res' }, function(txn)
  local headers = txn.http:res_get_headers()
  if headers['upgrade'] then return end
  for _, line in ipairs(values(headers, 'connection')) do
    for _, token in ipairs(split(line:lower(), ',')) do
      local name = trim(token)
      if headers[name] and not kept[name] then txn.http:res_del_header(name) end
    end
  end
  txn.http:res_del_header('connection')
end, 0)
`;

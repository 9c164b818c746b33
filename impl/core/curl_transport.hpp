// The built-in transport: HTTP/1.1 with libcurl, which is loaded when the first request is sent
// (libcurl.hpp). TLS 1.2 or newer, the peer and its name verified; proxies as the environment
// names them to libcurl (HTTPS_PROXY, ALL_PROXY, NO_PROXY and their like); gzip and deflate
// decoded. Each concurrent request has a connection of its own; up to four stay open for the next
// request, for a minute.
//
// Of a request's headers and body nothing stays in memory, as long as nobody else in the process
// initialised libcurl before us (libcurl.hpp).
#pragma once

#include <memory>

#include "core/curl_exchange.hpp"
#include "core/log.hpp"
#include "core/transport.hpp"

namespace satchel::core {

// `log` outlives it. Ends only after all its sends have.
std::unique_ptr<Transport> make_curl_transport(CurlSettings settings, Log& log);

}  // namespace satchel::core

// The address of a server that gets a secret from us.
#pragma once

#include <string>

#include "core/config_reader.hpp"

namespace satchel::core {

// Rejects `key`, whose value is `url`, unless it is https, or http to this machine, or `plain_http`
// says that http is meant.
void check_base_url(ConfigReader& reader, const char* key, const std::string& url, bool plain_http);

}  // namespace satchel::core

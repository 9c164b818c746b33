// What holds for a model: whether it takes part, and how long a prefix must be to be cached.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace satchel::prompt_cache {

struct ModelConfig {
  bool enabled = false;
  std::uint32_t min_prefix_tokens = 0;
};

// Any thread.
class Models {
 public:
  Models() = default;
  Models(const Models&) = delete;
  Models& operator=(const Models&) = delete;
  virtual ~Models() = default;
  virtual core::Result<ModelConfig> resolve(std::string_view model) = 0;
};

// The table "models" of the configuration: by name, "*" for all others.
using ModelTable = std::map<std::string, ModelConfig, std::less<>>;

std::unique_ptr<Models> make_model_table(ModelTable table);

}  // namespace satchel::prompt_cache

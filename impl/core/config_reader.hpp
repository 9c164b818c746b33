// The configuration, read strictly: an unknown key, a wrong type or a value out of range is an
// error that names the key by its path ("index.path").
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/secret.hpp"

struct cJSON;

namespace satchel::core {

// One JSON object. Ask for each key that it may have, then finish(). The first thing that is wrong
// is kept; later calls do nothing.
class ConfigReader {
 public:
  void boolean(const char* key, bool& value);
  void integer(const char* key, std::int64_t& value, std::int64_t min, std::int64_t max);
  void text(const char* key, std::string& value);
  // A text that is wiped where it was read, as far as that is ours.
  void secret(const char* key, Secret& value);
  // Either of them; the other is left as it is.
  void text_or_integer(const char* key, std::string& text, std::int64_t& number, std::int64_t min,
                       std::int64_t max);
  void texts(const char* key, std::vector<std::string>& values);
  // Reads a nested object, if it is there.
  void object(const char* key, const std::function<void(ConfigReader&)>& read);
  // Reads an object whose keys are names that the user chose.
  void named_objects(const char* key,
                     const std::function<void(const std::string& name, ConfigReader&)>& read);
  [[nodiscard]] bool has(const char* key) const;

  // Says that a value, read before, is wrong. `key` may be empty: the object itself.
  void reject(std::string_view key, std::string_view why);
  // Rejects what was not asked for.
  void finish();

 private:
  friend Result<void> read_config(std::string_view text,
                                  const std::function<void(ConfigReader&)>& read);
  ConfigReader(const cJSON* object, std::string path, Error& error);

  const cJSON* take(const char* key);
  void read_integer(const char* key, const cJSON* item, std::int64_t& value, std::int64_t min,
                    std::int64_t max);
  [[nodiscard]] std::string path_of(std::string_view key) const;

  const cJSON* object_;
  std::string path_;
  Error& error_;  // kOk while nothing is wrong
  std::vector<std::string> known_;
};

// Reads `text`, a JSON object or empty for {}. `read` asks for the keys; finish() is called for it.
Result<void> read_config(std::string_view text, const std::function<void(ConfigReader&)>& read);

}  // namespace satchel::core

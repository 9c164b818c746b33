#include "core/config_reader.hpp"

#include <cjson/cJSON.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "core/json_tape.hpp"
#include "core/text.hpp"

namespace satchel::core {
namespace {

struct DeleteJson {
  void operator()(cJSON* json) const { cJSON_Delete(json); }
};

const char* type_name(const cJSON* item) {
  if (cJSON_IsBool(item) != 0) return "a boolean";
  if (cJSON_IsNumber(item) != 0) return "a number";
  if (cJSON_IsString(item) != 0) return "a string";
  if (cJSON_IsArray(item) != 0) return "an array";
  if (cJSON_IsObject(item) != 0) return "an object";
  return "null";
}

std::string expected(const char* what, const cJSON* item) {
  return std::string("expected ") + what + ", got " + type_name(item);
}

// cJSON keeps texts as C strings: what stands behind a zero would be lost without a word.
bool has_zero(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return true;
  for (std::size_t at = text.find('\\'); at < text.size(); at = text.find('\\', at + 2)) {
    if (text.substr(at + 1, 5) == "u0000") return true;
  }
  return false;
}

}  // namespace

ConfigReader::ConfigReader(const cJSON* object, std::string path, Error& error)
    : object_(object), path_(std::move(path)), error_(error) {}

std::string ConfigReader::path_of(std::string_view key) const {
  if (key.empty()) return path_.empty() ? "the configuration" : path_;
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

void ConfigReader::reject(std::string_view key, std::string_view why) {
  if (error_.status != Status::kOk) return;
  error_.status = Status::kConfig;
  error_.message = "configuration: " + path_of(key) + ": " + std::string(why);
}

const cJSON* ConfigReader::take(const char* key) {
  known_.emplace_back(key);
  return error_.status == Status::kOk ? cJSON_GetObjectItemCaseSensitive(object_, key) : nullptr;
}

bool ConfigReader::has(const char* key) const {
  return cJSON_GetObjectItemCaseSensitive(object_, key) != nullptr;
}

void ConfigReader::boolean(const char* key, bool& value) {
  const cJSON* item = take(key);
  if (item == nullptr) return;
  if (cJSON_IsBool(item) == 0) return reject(key, expected("a boolean", item));
  value = cJSON_IsTrue(item) != 0;
}

void ConfigReader::integer(const char* key, std::int64_t& value, std::int64_t min,
                           std::int64_t max) {
  if (const cJSON* item = take(key)) read_integer(key, item, value, min, max);
}

void ConfigReader::text_or_integer(const char* key, std::string& text, std::int64_t& number,
                                   std::int64_t min, std::int64_t max) {
  const cJSON* item = take(key);
  if (item == nullptr) return;
  if (cJSON_IsNumber(item) != 0) return read_integer(key, item, number, min, max);
  if (cJSON_IsString(item) == 0) return reject(key, expected("a string or an integer", item));
  text = item->valuestring;
}

void ConfigReader::read_integer(const char* key, const cJSON* item, std::int64_t& value,
                                std::int64_t min, std::int64_t max) {
  if (cJSON_IsNumber(item) == 0) return reject(key, expected("an integer", item));
  const double number = item->valuedouble;
  if (number != std::floor(number) || number < static_cast<double>(min) ||
      number > static_cast<double>(max)) {
    return reject(key,
                  "expected an integer from " + std::to_string(min) + " to " + std::to_string(max));
  }
  value = static_cast<std::int64_t>(number);
}

void ConfigReader::text(const char* key, std::string& value) {
  const cJSON* item = take(key);
  if (item == nullptr) return;
  if (cJSON_IsString(item) == 0) return reject(key, expected("a string", item));
  value = item->valuestring;
}

void ConfigReader::secret(const char* key, Secret& value) {
  const cJSON* item = take(key);
  if (item == nullptr) return;
  if (cJSON_IsString(item) == 0) return reject(key, expected("a string", item));
  value = Secret(std::string_view(item->valuestring));
  wipe(item->valuestring, value.view().size());
}

void ConfigReader::texts(const char* key, std::vector<std::string>& values) {
  const cJSON* item = take(key);
  if (item == nullptr) return;
  if (cJSON_IsArray(item) == 0) return reject(key, expected("an array of strings", item));
  values.clear();
  const cJSON* element = nullptr;
  cJSON_ArrayForEach(element, item) {
    if (cJSON_IsString(element) == 0) {
      return reject(std::string(key) + "[" + std::to_string(values.size()) + "]",
                    expected("a string", element));
    }
    values.emplace_back(element->valuestring);
  }
}

void ConfigReader::object(const char* key, const std::function<void(ConfigReader&)>& read) {
  const cJSON* item = take(key);
  if (item == nullptr) return;
  if (cJSON_IsObject(item) == 0) return reject(key, expected("an object", item));
  ConfigReader nested(item, path_of(key), error_);
  read(nested);
  nested.finish();
}

void ConfigReader::named_objects(
    const char* key, const std::function<void(const std::string& name, ConfigReader&)>& read) {
  const cJSON* item = take(key);
  if (item == nullptr) return;
  if (cJSON_IsObject(item) == 0) return reject(key, expected("an object", item));
  const cJSON* member = nullptr;
  cJSON_ArrayForEach(member, item) {
    const std::string name = member->string;
    if (cJSON_GetObjectItemCaseSensitive(item, member->string) != member) {
      return reject(std::string(key) + "." + name, "given twice");
    }
    if (cJSON_IsObject(member) == 0) {
      return reject(std::string(key) + "." + name, expected("an object", member));
    }
    ConfigReader nested(member, path_of(key) + "." + name, error_);
    read(name, nested);
    nested.finish();
  }
}

void ConfigReader::finish() {
  const cJSON* member = nullptr;
  cJSON_ArrayForEach(member, object_) {
    const std::string name = member->string;
    if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
      std::string why = "unknown key; known are";
      for (std::size_t i = 0; i < known_.size(); ++i)
        why.append(i == 0 ? " " : ", ").append(known_[i]);
      return reject(name, why);
    }
    if (cJSON_GetObjectItemCaseSensitive(object_, member->string) != member) {
      return reject(name, "given twice");
    }
  }
}

Result<void> read_config(std::string_view text, const std::function<void(ConfigReader&)>& read) {
  if (trim(text).empty()) text = "{}";
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    return Error{Status::kConfig, "configuration: the text is not UTF-8"};
  }
  if (has_zero(text)) return Error{Status::kConfig, "configuration: a zero byte in a text"};
  const char* stopped = nullptr;
  const std::unique_ptr<cJSON, DeleteJson> root(
      cJSON_ParseWithLengthOpts(text.data(), text.size(), &stopped, 0));
  const auto offset = [&] { return std::to_string(stopped - text.data()); };
  if (root == nullptr) {
    // cJSON says the same of a text that is wrong and of memory that is short.
    if (JsonTape tape; tape.read(text)) throw std::bad_alloc();
    return Error{Status::kConfig, "configuration: not JSON at byte " + offset()};
  }
  const auto parsed = static_cast<std::size_t>(stopped - text.data());
  if (!trim(text.substr(parsed)).empty()) {
    return Error{Status::kConfig, "configuration: text after the JSON object at byte " + offset()};
  }
  if (cJSON_IsObject(root.get()) == 0) {
    return Error{Status::kConfig, "configuration: " + expected("an object", root.get())};
  }
  Error error;
  error.status = Status::kOk;
  ConfigReader reader(root.get(), {}, error);
  read(reader);
  reader.finish();
  if (error.status != Status::kOk) return error;
  return Ok{};
}

}  // namespace satchel::core

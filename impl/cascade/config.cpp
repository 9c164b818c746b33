#include "cascade/config.hpp"

#include "core/base_url.hpp"
#include "core/config_reader.hpp"

namespace satchel::cascade {
namespace {

constexpr std::int64_t kDayMillis = 86'400'000;
constexpr std::int64_t kYearSeconds = 366 * 86'400;

void read_depth(core::ConfigReader& reader, Config& config) {
  std::string all = "all";
  reader.text_or_integer("depth", all, config.depth, 1, 64);
  if (all != "all") reader.reject("depth", "expected \"all\" or a number, got \"" + all + "\"");
}

void read_transcripts(core::ConfigReader& reader, Config& config) {
  reader.boolean("enabled", config.transcripts);
  reader.text("dedup", config.dedup);
  if (config.dedup != "complete" && config.dedup != "first") {
    reader.reject("dedup", "expected \"complete\" or \"first\", got \"" + config.dedup + "\"");
  }
  read_depth(reader, config);
  reader.text("owner", config.owner);
  if (config.owner != "mine" && config.owner != "any") {
    reader.reject("owner", "expected \"mine\" or \"any\", got \"" + config.owner + "\"");
  }
  reader.boolean("remember", config.remember);
  reader.integer("threads", config.threads, 0, 64);
  reader.integer("max_line_bytes", config.max_line_bytes, 1 << 10, std::int64_t{1} << 30);
}

}  // namespace

core::Result<Config> read_cascade_config(std::string_view text) {
  Config config;
  core::Result<void> read = core::read_config(text, [&](core::ConfigReader& reader) {
    bool plain_http = false;
    reader.text("api_base_url", config.api_base_url);
    reader.boolean("plain_http", plain_http);
    core::check_base_url(reader, "api_base_url", config.api_base_url, plain_http);
    reader.text("ca_file", config.ca_file);
    reader.integer("timeout_ms", config.timeout_ms, 1, kDayMillis);
    reader.integer("cache_duration_s", config.cache_duration_s, 0, kYearSeconds);
    reader.boolean("cache", config.cache);
    reader.boolean("stale_while_revalidate", config.stale_while_revalidate);
    reader.object("transcripts",
                  [&](core::ConfigReader& nested) { read_transcripts(nested, config); });
  });
  if (!read) return read.take_error();
  return config;
}

}  // namespace satchel::cascade

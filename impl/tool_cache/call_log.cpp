#include "tool_cache/call_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/file.hpp"
#include "core/json_writer.hpp"

namespace satchel::tool_cache {

CallLog::CallLog(std::string path, core::Clock& clock, core::Log& log)
    : path_(std::move(path)), clock_(clock), log_(log) {}

void CallLog::record(const CallRecord& call) {
  if (path_.empty()) return;
  core::JsonWriter json;
  json.begin_object().key("ts_us").number(clock_.unix_ns() / 1000);
  json.key("tool").text(call.tool).key("outcome").text(call.outcome);
  json.key("duration_us").number(call.duration_us);
  json.key("args_summary").text(call.args_summary).key("reason");
  if (call.reason.empty()) {
    json.null();
  } else {
    json.text(call.reason);
  }
  std::string line = json.end_object().take();
  line += '\n';
  // O_APPEND and one write: lines of several processes do not mix.
  const core::UniqueFd file(
      ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600));
  const ssize_t written = file.valid() ? ::write(file.get(), line.data(), line.size()) : -1;
  if (written == static_cast<ssize_t>(line.size())) {
    complaint_.clear();
    return;
  }
  const int why = written < 0 ? errno : ENOSPC;
  std::uint64_t suppressed = 0;
  if (!complaint_.due(clock_.monotonic_ns(), &suppressed)) return;
  log_.write(core::LogLevel::kWarn, "tool_cache.stats",
             "cannot write to " + path_ + ": " + std::generic_category().message(why) + " (" +
                 std::to_string(suppressed) + " lines lost before)");
}

}  // namespace satchel::tool_cache

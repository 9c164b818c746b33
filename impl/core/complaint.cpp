#include "core/complaint.hpp"

namespace satchel::core {

void Complaint::say(const std::string& message) {
  std::uint64_t suppressed = 0;
  if (!once_.due(clock_.monotonic_ns(), &suppressed)) return;
  std::string line = message;
  if (suppressed > 0) line += " (happened " + std::to_string(suppressed) + " times unsaid)";
  log_.write(LogLevel::kWarn, component_, line);
}

void Complaint::over(const std::string& message) {
  if (once_.clear()) log_.write(LogLevel::kInfo, component_, message);
}

}  // namespace satchel::core

// Secrets are wiped when they are no longer needed.
#pragma once

#include <string>

namespace satchel::core {

// Overwrites the text, in a way that the compiler keeps, and empties it.
void wipe(std::string& secret);

}  // namespace satchel::core

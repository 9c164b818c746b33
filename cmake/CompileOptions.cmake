# What every target of ours is compiled with.
add_library(satchel_compile_options INTERFACE)
target_compile_options(
  satchel_compile_options
  INTERFACE -Wall -Wextra -Wpedantic -fvisibility=hidden
            $<$<COMPILE_LANGUAGE:CXX>:-fvisibility-inlines-hidden>
            # A unique symbol would keep the library from ever being replaced in a process.
            $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)

if(SATCHEL_BUILD_FUZZERS)
  # Coverage of the library is what guides the fuzzers.
  target_compile_options(satchel_compile_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(SATCHEL_SANITIZE)
  target_compile_options(
    satchel_compile_options INTERFACE -fsanitize=${SATCHEL_SANITIZE} -fno-sanitize-recover=all
                                      -fno-omit-frame-pointer)
  target_link_options(satchel_compile_options INTERFACE -fsanitize=${SATCHEL_SANITIZE})
endif()

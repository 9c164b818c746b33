# satchel_blake3: BLAKE3 for impl/core/blake3.cpp, from the first of these that is there:
#   SATCHEL_BLAKE3_SOURCE_DIR  a directory with the official C sources (blake3.c, blake3.h, ...)
#   the system's library       pkg-config's libblake3, or its CMake package
#   PyPI                       the same C sources, out of the source distribution of `blake3`;
#                              fetched by pip, so that its index, proxies and certificates are those
#                              that the user has set up, and held to the hash below
# Nothing of it is installed: the sources become a static library, hidden inside libsatchel.so.
set(SATCHEL_BLAKE3_SOURCE_DIR "" CACHE PATH "official C sources of BLAKE3, instead of all else")
set(SATCHEL_DOWNLOAD_DIR "${PROJECT_SOURCE_DIR}/build/downloads"
    CACHE PATH "where fetched archives are kept, shared by all builds")

set(blake3_version 1.0.11)
set(blake3_sha256 d73c0a87304d41045f6753a922113bede3ab09eda2d20371566a5bbe357c3deb)
set(blake3_archive "${SATCHEL_DOWNLOAD_DIR}/blake3-${blake3_version}.tar.gz")

# A Python with pip, in `result`, or nothing. The last resort is a virtual environment made for it,
# because Debian's python3 comes without pip.
function(satchel_find_pip result)
  unset(python)
  find_program(python NAMES python3 python NO_CACHE)
  foreach(candidate "${PROJECT_SOURCE_DIR}/build/venv/bin/python" "${Python_EXECUTABLE}" "${python}"
                    "/usr/bin/python3" "${PROJECT_BINARY_DIR}/blake3/venv/bin/python")
    if(NOT candidate OR NOT EXISTS "${candidate}")
      continue()
    endif()
    execute_process(COMMAND "${CMAKE_COMMAND}" -E env --unset=PYTHONPATH "${candidate}" -m pip
                            --version RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    if(status EQUAL 0)
      set(${result} "${candidate}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${result} "" PARENT_SCOPE)
  if(python)
    set(venv "${PROJECT_BINARY_DIR}/blake3/venv")
    execute_process(COMMAND "${CMAKE_COMMAND}" -E env --unset=PYTHONPATH "${python}" -m venv
                            "${venv}" RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    if(status EQUAL 0)
      set(${result} "${venv}/bin/python" PARENT_SCOPE)
    endif()
  endif()
endfunction()

# Puts the archive at `blake3_archive`; `result` is empty, or says why it is not there.
#
# pip asks the build backend of what it downloads for metadata, and that backend, maturin, wants
# Rust. Nothing is built here, so a stand-in of a few lines answers.
function(satchel_fetch_blake3 result)
  satchel_find_pip(python)
  if(NOT python)
    set(${result} "there is no Python with pip, and none could be made with venv" PARENT_SCOPE)
    return()
  endif()
  set(work "${PROJECT_BINARY_DIR}/blake3/fetch")
  file(REMOVE_RECURSE "${work}")
  file(WRITE "${work}/requirements.txt" "blake3==${blake3_version} --hash=sha256:${blake3_sha256}\n")
  file(WRITE "${work}/backend/maturin/__init__.py" "\
import os

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    folder = 'blake3-${blake3_version}.dist-info'
    os.makedirs(os.path.join(directory, folder))
    with open(os.path.join(directory, folder, 'METADATA'), 'w') as file:
        file.write('Metadata-Version: 2.1\\nName: blake3\\nVersion: ${blake3_version}\\n')
    return folder
")
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env "PYTHONPATH=${work}/backend" "${python}" -m pip --no-input
            --disable-pip-version-check download --quiet --no-deps --no-build-isolation
            --no-binary=blake3 --ignore-requires-python --require-hashes --requirement
            "${work}/requirements.txt" --dest "${work}"
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  set(fetched "${work}/blake3-${blake3_version}.tar.gz")
  if(NOT status EQUAL 0 OR NOT EXISTS "${fetched}")
    set(${result} "${python} -m pip download blake3==${blake3_version} said:\n${output}" PARENT_SCOPE)
    return()
  endif()
  # Under a name of its own first: another build may be doing the same.
  string(RANDOM LENGTH 8 unique)
  file(MAKE_DIRECTORY "${SATCHEL_DOWNLOAD_DIR}")
  file(COPY_FILE "${fetched}" "${blake3_archive}.${unique}")
  file(RENAME "${blake3_archive}.${unique}" "${blake3_archive}")
  file(REMOVE_RECURSE "${work}")
  set(${result} "" PARENT_SCOPE)
endfunction()

# Sets `result` to the directory of the sources, out of the archive.
function(satchel_unpack_blake3 result)
  set(known "")
  if(EXISTS "${blake3_archive}")
    file(SHA256 "${blake3_archive}" known)
  endif()
  if(NOT known STREQUAL blake3_sha256)
    message(STATUS "Fetching the C sources of BLAKE3 from PyPI")
    satchel_fetch_blake3(problem)
    if(problem)
      message(
        FATAL_ERROR
          "BLAKE3 is missing. There is no SATCHEL_BLAKE3_SOURCE_DIR, pkg-config knows no libblake3, "
          "CMake finds no package blake3, and the C sources could not be fetched from PyPI: "
          "${problem}\n"
          "Any of these helps:\n"
          "  - install the library with its headers (Debian 13 and later: libblake3-dev);\n"
          "  - unpack the directory c/ of https://github.com/BLAKE3-team/BLAKE3 somewhere and "
          "configure with -DSATCHEL_BLAKE3_SOURCE_DIR=<that directory>;\n"
          "  - put blake3-${blake3_version}.tar.gz from PyPI into ${SATCHEL_DOWNLOAD_DIR};\n"
          "  - give this machine pip (Debian: python3-venv) and a way to PyPI or a mirror of it.")
    endif()
    file(SHA256 "${blake3_archive}" known)
    if(NOT known STREQUAL blake3_sha256)
      message(FATAL_ERROR "${blake3_archive}: SHA-256 is ${known}, expected ${blake3_sha256}")
    endif()
  endif()
  set(unpacked "${PROJECT_BINARY_DIR}/blake3")
  set(sources "${unpacked}/blake3-${blake3_version}/c_impl/vendor")
  if(NOT EXISTS "${sources}/blake3.c")
    file(ARCHIVE_EXTRACT INPUT "${blake3_archive}" DESTINATION "${unpacked}"
         PATTERNS "*/c_impl/vendor/*")
  endif()
  set(${result} "${sources}" PARENT_SCOPE)
endfunction()

# The static library. Which instructions are used is decided where it runs, by its own dispatch.
# Compiled with neither our warnings nor the sanitizers: it is not ours, and the assembler is blind
# to them anyway.
macro(satchel_build_blake3 directory)
  set(blake3_sources "${directory}/blake3.c" "${directory}/blake3_dispatch.c"
                     "${directory}/blake3_portable.c")
  set(blake3_definitions "")
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
    enable_language(ASM)
    foreach(instructions sse2 sse41 avx2 avx512)
      list(APPEND blake3_sources "${directory}/blake3_${instructions}_x86-64_unix.S")
    endforeach()
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$" AND CMAKE_C_BYTE_ORDER STREQUAL
                                                               LITTLE_ENDIAN)
    list(APPEND blake3_sources "${directory}/blake3_neon.c")
    list(APPEND blake3_definitions BLAKE3_USE_NEON=1)
  else()
    list(APPEND blake3_definitions BLAKE3_NO_SSE2 BLAKE3_NO_SSE41 BLAKE3_NO_AVX2 BLAKE3_NO_AVX512
         BLAKE3_USE_NEON=0)
  endif()
  add_library(satchel_blake3 STATIC ${blake3_sources})
  target_include_directories(satchel_blake3 SYSTEM INTERFACE "${directory}")
  target_compile_definitions(satchel_blake3 PRIVATE ${blake3_definitions})
  target_compile_options(satchel_blake3 PRIVATE -w)
  set_target_properties(
    satchel_blake3 PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden
                              COMPILE_WARNING_AS_ERROR OFF)
  # Fast in a debug build too: hashing is most of what its tests wait for.
  target_compile_options(satchel_blake3 PRIVATE $<$<CONFIG:Debug>:-O2>)
endmacro()

if(NOT SATCHEL_BLAKE3_SOURCE_DIR)
  pkg_check_modules(BLAKE3 QUIET IMPORTED_TARGET libblake3)
  if(NOT BLAKE3_FOUND)
    find_package(blake3 QUIET CONFIG)
  endif()
endif()
if(TARGET PkgConfig::BLAKE3)
  add_library(satchel_blake3 INTERFACE)
  target_link_libraries(satchel_blake3 INTERFACE PkgConfig::BLAKE3)
elseif(TARGET BLAKE3::blake3)
  add_library(satchel_blake3 INTERFACE)
  target_link_libraries(satchel_blake3 INTERFACE BLAKE3::blake3)
else()
  set(blake3_directory "${SATCHEL_BLAKE3_SOURCE_DIR}")
  if(NOT blake3_directory)
    satchel_unpack_blake3(blake3_directory)
  elseif(NOT EXISTS "${blake3_directory}/blake3_dispatch.c")
    message(FATAL_ERROR "SATCHEL_BLAKE3_SOURCE_DIR: no blake3_dispatch.c in ${blake3_directory}")
  endif()
  satchel_build_blake3("${blake3_directory}")
endif()
